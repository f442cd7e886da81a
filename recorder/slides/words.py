"""The words of chapters and of the thumbnails sheet, in the languages of `[general] language`."""

from config.locale.lookup import in_language

_SLIDE = "Salindia {number}", "Slide {number}"
_AGAIN = "{title} (kembali)", "{title} (again)"


def slide_title(number: int, language: str) -> str:
    """Return what a slide is called that has no title of its own."""
    return in_language(_SLIDE, language).format(number=number)


def again(title: str, language: str) -> str:
    """Return what a slide is called that is shown once more."""
    return in_language(_AGAIN, language).format(title=title)
