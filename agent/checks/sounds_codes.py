"""What may be found of an input of sound: how bad it is, in which words, and what to do."""

from agent.checks.result import Code, Verdict
from agent.checks.sources_codes import ANY_SOURCE
from config.locale.lookup import Words

CODES = {
    **ANY_SOURCE,
    "ok": Code(Verdict.OK, Words("Terdengar, {level_dbfs:.0f} dBFS", "It is heard, {level_dbfs:.0f} dBFS")),
    "ok-held": Code(
        Verdict.OK,
        Words(
            'Terdengar, puncaknya {peak_dbfs:.0f} dBFS; dipakai sesi "{session}"',
            'It is heard, with peaks of {peak_dbfs:.0f} dBFS; the session "{session}" has it',
        ),
    ),
    "no-sound": Code(
        Verdict.WARNING,
        Words("Tidak ada mikrofon: sesi akan bisu", "There is no microphone: the session will have no sound"),
        Words(
            "Pasang mikrofon atau keluaran mixer; jika memang tanpa suara, pakai --audio none.",
            "Plug in a microphone or the mixer's output; if no sound is wanted, say --audio none.",
        ),
    ),
    "no-data": Code(
        Verdict.FAILURE,
        Words("Tidak mengirim suara sama sekali", "It sends no sound at all"),
        Words(
            "Cabut, tunggu dua detik, pasang lagi; atau ganti kabelnya.",
            "Pull it out, wait two seconds, plug it in again; or change its cable.",
        ),
    ),
    "nothing": Code(
        Verdict.FAILURE,
        Words("Isinya benar-benar kosong: dibisukan atau tidak tersambung", "Exactly nothing: muted, or not connected"),
        Words(
            "Lepaskan tombol mute, nyalakan mikrofon dan penerimanya, dan periksa kabelnya.",
            "Release its mute button, switch on the microphone and its receiver, and check the cable.",
        ),
    ),
    "silent": Code(
        Verdict.FAILURE,
        Words("Hening", "Silent"),
        Words(
            "Nyalakan mikrofon, ganti baterainya, atau naikkan gain-nya; bicaralah dan periksa lagi.",
            "Switch the microphone on, change its battery, or turn its gain up; speak, and check again.",
        ),
    ),
    "too-low": Code(
        Verdict.WARNING,
        Words("Tidak terdengar orang bicara: {level_dbfs:.0f} dBFS", "Nobody was heard: {level_dbfs:.0f} dBFS"),
        Words(
            "Bicaralah ke mikrofon sewaktu memeriksa lagi; jika tetap pelan, naikkan gain-nya.",
            "Speak into the microphone while you check again; if it stays low, turn its gain up.",
        ),
    ),
    "clipping": Code(
        Verdict.WARNING,
        Words("Terlalu keras: suaranya pecah", "Too loud: its sound is cut off"),
        Words("Turunkan gain mikrofon atau mixer.", "Turn down the gain of the microphone or the mixer."),
    ),
    "hum": Code(
        Verdict.WARNING,
        Words("Berdengung listrik", "It hums with the mains"),
        Words(
            "Periksa kabelnya, jauhkan dari kabel listrik, dan colokkan laptop dan mixer ke stopkontak yang sama.",
            "Check its cable, keep it away from power cables, and plug laptop and mixer into the same socket.",
        ),
    ),
    "dead-channel": Code(
        Verdict.WARNING,
        Words("Hanya satu dari dua kanal yang berisi", "Only one of its two channels carries sound"),
        Words(
            "Dorong kabelnya sampai penuh; jika memang satu mikrofon, pakai profil dengan audio_channels = 1.",
            "Push its cable in fully; if it is a single microphone, use a profile with audio_channels = 1.",
        ),
    ),
    "muted": Code(
        Verdict.WARNING,
        Words('Dibisukan di sesi "{session}"', 'It is muted in the session "{session}"'),
        Words("`liput mute --off` membunyikannya lagi.", "`liput mute --off` lets it be heard again."),
    ),
}
