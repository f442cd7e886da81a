"""What may be found of the equipment: the words of agent/checks/equipment.py."""

from collections.abc import Mapping

from agent.checks.result import Code, Verdict
from config.locale.lookup import Words

_PLUG_IN = Words(
    "Colokkan, tunggu beberapa detik, lalu periksa lagi. Di komputer: port {port}.",
    "Plug it in, wait some seconds, and check again. At the PC: port {port}.",
)
_REPLUG = Words("Cabut kabel USB-nya, tunggu dua detik, colokkan lagi.", "Unplug it, wait two seconds, plug it in.")
_LIST = Words("`liput devices` menyebut semua yang terpasang.", "`liput devices` names all that is plugged in.")

MISSING: Mapping[str, Code] = {
    "no-camera": Code(
        Verdict.FAILURE,
        Words("Tidak ada kamera atau kartu tangkap yang terpasang", "No camera and no capture card is plugged in"),
        Words(
            "Colokkan kamera atau kartu tangkap HDMI ke port USB, tunggu beberapa detik, lalu periksa lagi.",
            "Plug a camera or an HDMI capture card into a USB port, wait some seconds, and check again.",
        ),
    ),
    "no-microphone": Code(
        Verdict.FAILURE,
        Words("Tidak ada mikrofon yang terpasang", "No microphone is plugged in"),
        Words(
            "Colokkan mikrofon USB, tunggu beberapa detik, lalu periksa lagi. Tanpa suara memang: --audio none.",
            "Plug in a USB microphone, wait some seconds, and check again. Meant to be silent: --audio none.",
        ),
    ),
    "missing": Code(Verdict.FAILURE, Words("{device} tidak terpasang", "{device} is not plugged in"), _PLUG_IN),
    "role-missing": Code(
        Verdict.WARNING,
        Words("{device} tidak terpasang; sesi ini tidak memakainya", "{device} is not plugged in; not needed now"),
        Words("Colokkan jika akan dipakai.", "Plug it in if it is to be used."),
    ),
    "replaced": Code(
        Verdict.FAILURE,
        Words(
            "Di port {port} ada alat lain, bukan {device} yang biasa",
            "Another device is in port {port}, not the {device} that belongs there",
        ),
        Words(
            "Pasang alat yang biasa. Jika memang diganti: liput devices assign {role} {id}",
            "Plug in the one that belongs there. If it was replaced on purpose: liput devices assign {role} {id}",
        ),
    ),
    "moved": Code(
        Verdict.FAILURE,
        Words(
            "{device} tidak ada di port {port}; ada yang sama di port {there}",
            "{device} is not in port {port}; one of its make is in port {there}",
        ),
        Words(
            "Pindahkan kembali ke port {port}. Jika memang itu alatnya: liput devices assign {role} {id}",
            "Move it back to port {port}. If that is the one: liput devices assign {role} {id}",
        ),
    ),
    "not-found": Code(
        Verdict.FAILURE,
        Words('Tidak ada alat bernama "{word}"', 'No device is called "{word}"'),
        _LIST,
    ),
    "ambiguous": Code(
        Verdict.FAILURE,
        Words('"{word}" berarti lebih dari satu alat', '"{word}" means more than one device'),
        Words("Sebut dengan id-nya; lihat `liput devices`.", "Name it by its id; see `liput devices`."),
    ),
    "wrong-kind": Code(
        Verdict.FAILURE,
        Words('"{word}" ada, tetapi tidak dapat dipakai untuk ini', '"{word}" is there, but not good for this'),
        Words(
            "Sebut kamera setelah --video dan mikrofon setelah --audio; lihat `liput devices`.",
            "Name a camera after --video and a microphone after --audio; see `liput devices`.",
        ),
    ),
    "no-source": Code(
        Verdict.FAILURE,
        Words('"{word}" tidak berarti sumber apa pun', '"{word}" means no source'),
        Words("Ganti kata itu: {hint}", "Change that word: {hint}"),
    ),
    "no-file": Code(
        Verdict.FAILURE,
        Words("Tidak ada berkas {word}", "There is no file {word}"),
        Words("Periksa nama dan foldernya.", "Check its name and its folder."),
    ),
    "no-screen": Code(
        Verdict.FAILURE,
        Words("Layar ini tidak dapat direkam", "This screen cannot be recorded"),
        Words(
            "Keluar, lalu masuk lagi dengan sesi X11 (di layar masuk: roda gigi, Xorg).",
            "Log out, and in again with an X11 session (at the login screen: the gear, Xorg).",
        ),
    ),
}
"""Why there is no source."""

CODES: Mapping[str, Code] = {
    "ok": Code(Verdict.OK, Words("{device}: {offer}", "{device}: {offer}")),
    "no-device": Code(Verdict.OK, Words("Bukan alat di ruangan", "No device of the room")),
    "held": Code(
        Verdict.OK,
        Words('Dipakai sesi "{title}", dan baik', 'In use by the session "{title}", and well'),
    ),
    "held-silent": Code(
        Verdict.WARNING,
        Words('Dipakai sesi "{title}", yang tidak menjawab', 'In use by the session "{title}", which does not answer'),
        Words("Lihat `liput status`; jika tetap begitu, hubungi IT.", "See `liput status`; if it stays so, call IT."),
    ),
    "held-poor": Code(
        Verdict.WARNING,
        Words('Dipakai sesi "{title}": {keadaan}', 'In use by the session "{title}": {state}'),
        _REPLUG,
    ),
    "held-failing": Code(
        Verdict.FAILURE,
        Words('Dipakai sesi "{title}": {keadaan}', 'In use by the session "{title}": {state}'),
        _REPLUG,
    ),
    **MISSING,
    "busy": Code(
        Verdict.FAILURE,
        Words("{device} sedang dipakai {who}", "{device} is in use by {who}"),
        Words("Tutup program itu, lalu periksa lagi.", "Close that program, and check again."),
    ),
    "busy-server": Code(
        Verdict.FAILURE,
        Words(
            "{device} dipakai server suara ({who}) untuk program yang merekam",
            "The sound server ({who}) has {device}, for a program that records",
        ),
        Words(
            "Tutup program itu (Zoom, peramban), atau rekam lewat server suara: --audio pulse:{source}",
            "Close that program (Zoom, a browser), or record through the sound server: --audio pulse:{source}",
        ),
    ),
    "busy-unseen": Code(
        Verdict.FAILURE,
        Words("{device} sedang dipakai program pengguna lain", "{device} is in use by another user's program"),
        Words("Tutup program itu; melihatnya: sudo fuser -v {node}", "Close it; to see it: sudo fuser -v {node}"),
    ),
    "busy-liput": Code(
        Verdict.FAILURE,
        Words(
            "{device} dipakai sesi Liput yang tidak menjawab ({who})",
            "{device} is in use by a session of Liput that does not answer ({who})",
        ),
        Words("Lihat `liput status`; akhiri sesi itu: `liput stop`.", "See `liput status`; end it: `liput stop`."),
    ),
    "denied": Code(
        Verdict.FAILURE,
        Words("Pengguna ini tidak boleh membuka {device}", "This user may not open {device}"),
        Words(
            'Jalankan: sudo usermod -aG {group} "$USER", lalu keluar dan masuk lagi.',
            'Run: sudo usermod -aG {group} "$USER", then log out and in again.',
        ),
    ),
    "no-answer": Code(Verdict.FAILURE, Words("{device} tidak menjawab", "{device} does not answer"), _REPLUG),
    "unwell": Code(Verdict.WARNING, Words("{device}: {keadaan}", "{device} is {state}"), _REPLUG),
    "swapped": Code(
        Verdict.WARNING,
        Words("{device} mungkin tertukar dengan kembarannya", "{device} may have changed places with its twin"),
        Words(
            "Lihat gambarnya. Jika benar: liput devices roles --confirm. Jika tertukar, tukar kabelnya.",
            "Look at its picture. If it is right: liput devices roles --confirm. If not, swap their cables.",
        ),
    ),
    "slow-port": Code(
        Verdict.WARNING,
        Words(
            "{device} dibuat untuk USB 3, tetapi berjalan pada {speed} di port {port}",
            "{device} is made for USB 3, and runs at {speed} in port {port}",
        ),
        Words(
            "Pindahkan ke port USB 3 (biru, atau bertanda SS), dengan kabel USB 3.",
            "Move it to a USB 3 port (blue, or marked SS), with a cable for USB 3.",
        ),
    ),
    "slow-hub": Code(
        Verdict.WARNING,
        Words(
            "{device} dibuat untuk USB 3, tetapi dicolok ke hub USB 2 di port {hub}",
            "{device} is made for USB 3, and is plugged into a USB 2 hub at port {hub}",
        ),
        Words("Colokkan langsung ke port USB 3 di komputer.", "Plug it right into a USB 3 port of the PC."),
    ),
    "no-mode": Code(
        Verdict.FAILURE,
        Words("{device} tidak memberi gambar yang dapat direkam", "{device} offers no picture that can be recorded"),
        Words("Pakai kamera lain.", "Use another camera."),
    ),
    "small-mode": Code(
        Verdict.WARNING,
        Words(
            "{device} paling besar memberi {size}; profil meminta {wanted}",
            "{device} gives {size} at most; the profile asks for {wanted}",
        ),
        Words(
            "Pakai kamera lain, port USB 3, atau profil yang lebih kecil (--profile).",
            "Use another camera, a USB 3 port, or a smaller profile (--profile).",
        ),
    ),
    "slow-mode": Code(
        Verdict.WARNING,
        Words(
            "{device} paling cepat memberi {size}; profil meminta {wanted}",
            "{device} gives {size} at most; the profile asks for {wanted}",
        ),
        Words(
            "Pakai port USB 3, atau profil yang lebih kecil atau lebih lambat (--profile).",
            "Use a USB 3 port, or a profile that is smaller or slower (--profile).",
        ),
    ),
    "controls-refused": Code(
        Verdict.WARNING,
        Words(
            "{device} menolak setelan yang disimpan: {controls}", "{device} refuses settings that are kept: {controls}"
        ),
        Words(
            "Setel lagi: liput devices controls {id}. Atau lupakan: liput devices controls {id} --reset",
            "Set it anew: liput devices controls {id}. Or forget it: liput devices controls {id} --reset",
        ),
    ),
    "bus-full": Code(
        Verdict.FAILURE,
        Words(
            "{devices} tidak dapat berjalan bersama di satu jalur USB ({least_percent} %)",
            "{devices} cannot run at once on one USB bus ({least_percent} %)",
        ),
        Words(
            "Pindahkan salah satu ke port USB lain di komputer, bukan lewat hub yang sama.",
            "Move one of them to another USB port of the PC, not behind the same hub.",
        ),
    ),
    "bus-tight": Code(
        Verdict.WARNING,
        Words("{devices} mungkin terlalu banyak untuk satu jalur USB", "{devices} may be too much for one USB bus"),
        Words(
            "Pindahkan salah satu ke port USB lain di komputer, bukan lewat hub yang sama.",
            "Move one of them to another USB port of the PC, not behind the same hub.",
        ),
    ),
    "unreadable": Code(
        Verdict.WARNING,
        Words("Catatan Liput tentang alat tidak terbaca: {file}", "What Liput knows of devices cannot be read: {file}"),
        Words(
            "Hubungi IT: pindahkan berkas itu, lalu beri peran lagi.", "Call IT: move that file away, give roles anew."
        ),
    ),
}
"""Everything that may be found."""
