"""What may be found of this PC: the words of agent/checks/computer.py."""

from collections.abc import Mapping

from agent.checks.result import Code, Verdict
from config.locale.lookup import Words

_PLUG_IN = Words("Colokkan catu daya PC ini.", "Plug in this PC's power supply.")
_RESTART = Words("Nyalakan ulang PC ini sebelum acara.", "Restart this PC before the event.")
_GRANT = Words(
    "Tidak wajib. TI memberinya: `liput service install`, atau batas nice dan rtprio (docs/guide-it.md#priority).",
    "Not needed. IT may grant it: `liput service install`, or limits of nice and rtprio (docs/guide-it.md#priority).",
)

CODES: Mapping[str, Code] = {
    "ok": Code(Verdict.OK, Words("Baik{figure}", "Well{figure}")),
    "low-memory": Code(
        Verdict.WARNING,
        Words("Memori kosong hanya {free} dari {total}", "Only {free} of {total} of memory are free"),
        Words("Tutup program dan tab yang tidak dipakai.", "Close programs and tabs that are not needed."),
    ),
    "busy-processor": Code(
        Verdict.WARNING,
        Words(
            "Program lain memakai {percent:.0f} % prosesor, terbanyak {program}",
            "Other programs take {percent:.0f} % of the processor, most of it {program}",
        ),
        Words("Tutup {program} jika tidak dipakai.", "Close {program} if it is not needed."),
    ),
    "throttled": Code(
        Verdict.WARNING,
        Words("Prosesor terlalu panas dan diperlambat", "The processor is too hot, and is slowed down"),
        Words(
            "Bersihkan lubang anginnya dan beri ruang di sekitar PC; matikan program lain.",
            "Clear its vents and give the PC some room; close other programs.",
        ),
    ),
    "limited": Code(
        Verdict.WARNING,
        Words(
            "Prosesor dibatasi sampai {percent:.0f} % kecepatannya",
            "The processor is limited to {percent:.0f} % of its speed",
        ),
        Words(
            'Pilih mode daya "Kinerja" (Performance) di pengaturan daya.',
            'Choose the power mode "Performance" in the power settings.',
        ),
    ),
    "hot": Code(
        Verdict.WARNING,
        Words("PC ini panas: {degrees:.0f} °C", "This PC is hot: {degrees:.0f} °C"),
        Words("Bersihkan lubang anginnya dan beri ruang di sekitar PC.", "Clear its vents and give the PC some room."),
    ),
    "on-battery": Code(
        Verdict.WARNING,
        Words("PC ini memakai baterai, sisa {left}", "This PC runs on its battery, {left} left"),
        _PLUG_IN,
    ),
    "battery-low": Code(
        Verdict.FAILURE,
        Words("PC ini memakai baterai, sisa hanya {left}", "This PC runs on its battery, only {left} left"),
        _PLUG_IN,
    ),
    "clock-unsynchronised": Code(
        Verdict.WARNING,
        Words("Jam PC ini tidak disamakan lewat jaringan", "This PC's clock is not kept right over the network"),
        Words(
            "Sambungkan internet dan tunggu semenit. Jika tetap begitu: timedatectl set-ntp true",
            "Connect the internet and wait a minute. If it stays so: timedatectl set-ntp true",
        ),
    ),
    "clock-unknown": Code(
        Verdict.UNCHECKED, Words("Keadaan jam tidak diketahui", "How the clock is cannot be known here")
    ),
    "ok-ordinary": Code(
        Verdict.OK,
        Words(
            "Perekaman tidak didahulukan dari program lain (nice {nice})",
            "Recording does not go before other programs (nice {nice})",
        ),
        _GRANT,
    ),
    "ok-no-realtime": Code(
        Verdict.OK,
        Words(
            "Perekaman didahulukan dari program lain, suara tidak dari segalanya",
            "Recording goes before other programs, its sound not before everything",
        ),
        _GRANT,
    ),
    "may-sleep": Code(
        Verdict.WARNING,
        Words("PC ini dapat tertidur selama sesi", "This PC may go to sleep during a session"),
        Words("Matikan suspensi otomatis di pengaturan daya.", "Switch automatic suspend off in the power settings."),
    ),
    "may-lock": Code(
        Verdict.WARNING,
        Words("Layar dapat terkunci selama sesi", "The screen may lock during a session"),
        Words("Matikan kunci layar otomatis di pengaturan.", "Switch the automatic screen lock off in the settings."),
    ),
    "may-lid": Code(
        Verdict.WARNING,
        Words("Menutup layar laptop akan menidurkan PC ini", "Closing the lid would send this PC to sleep"),
        Words("Biarkan layarnya terbuka selama sesi.", "Leave the lid open during the session."),
    ),
    "sleep-unknown": Code(
        Verdict.UNCHECKED,
        Words("Pengatur tidur dan kunci layar tidak menjawab", "Who decides on sleep and screen lock does not answer"),
        _RESTART,
    ),
    "restart": Code(
        Verdict.WARNING, Words("Pembaruan menunggu PC ini dinyalakan ulang", "An update waits for a restart"), _RESTART
    ),
    "drivers-gone": Code(
        Verdict.FAILURE,
        Words(
            "Pembaruan menghapus penggerak kernel ini: kamera yang dicolok sekarang mungkin tidak terbaca",
            "An update removed the drivers of this kernel: a camera plugged in now may not work",
        ),
        _RESTART,
    ),
}
