"""For mkdocs: the flags of every command, read off their parsers, into docs/reference/commands.md."""

from facecom.commands import main

MARKER = "<!-- commands -->"


def on_page_markdown(markdown: str, page, **_) -> str:
    return markdown.replace(MARKER, "\n".join(map(section, main.COMMANDS))) if MARKER in markdown else markdown


def section(command: main.Command) -> str:
    parser = main.parser_of(command)
    lines = [f"## {parser.prog}", "", *paragraphs(parser.description), "", "| flag | what it does |", "|---|---|"]
    for action in parser._actions:
        if action.help in (None, "==SUPPRESS==") or action.dest == "help":
            continue
        flag = " ".join(f"`{name}`" for name in action.option_strings) or f"`{action.metavar or action.dest}`"
        choices = "" if action.choices is None else f" ({', '.join(map(str, action.choices))})"
        said = (action.help % {"default": action.default}).replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| {flag} | {said}{choices} |")
    return "\n".join([*lines, ""])


def paragraphs(description: str) -> list[str]:
    """Indented lines of a description are commands."""
    lines, code = [], False
    for line in description.strip().splitlines():
        indented = line.startswith("    ") or line.startswith("python ")
        if indented != code and (indented or code):
            lines += ["", "```text"] if indented else ["```", ""]
        code = indented if line.strip() else code
        lines.append(line.strip())
    return [*lines, "```"] if code else lines
