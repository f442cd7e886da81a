"""A camera, an entry of QUIRKS."""

from devices.model.quirks import _CAMERA, Quirk, QuirkNote

QUIRKS = {
    "046d:081b": Quirk(
        _CAMERA,
        "Logitech C310",
        "usb.ids",
        notes=(QuirkNote("its focus is fixed", "users' reports of C310 cameras"),),
    ),
}
