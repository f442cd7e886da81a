"""The `liput` command: starts the recorder of `liput record` before parsing the command line, and runs it."""

from agent.cli.interrupts import end_silently

end_silently()  # before any other import


def main() -> None:
    import os
    import resource
    import sys

    from recorder.running.access import our_umask

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an address on it holds a key
    os.umask(our_umask())  # recordings are not for every user of this PC
    if sys.argv[1:2] == ["record"]:
        from agent.sessions import early_recorder  # no other command needs it

        early_recorder.start_early(sys.argv[2:])
    from agent.cli.group import run  # meanwhile: its libraries load as slowly as Python itself

    run()


if __name__ == "__main__":
    main()
