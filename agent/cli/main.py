"""The `liput` command: begins the recorder of `liput record` before it reads its own words, and does what they say."""

from agent.cli.interrupting import end_silently

end_silently()  # before anything else is loaded


def main() -> None:
    """Run the command line; the console script."""
    import os
    import resource
    import sys

    from recorder.running.access import umask

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an address that is read here holds a key
    os.umask(umask())  # what is recorded is not for every user of this PC
    if sys.argv[1:2] == ["record"]:
        from agent.sessions import early  # no other command needs it

        early.begin(sys.argv[2:])
    from agent.cli.group import run  # meanwhile: its libraries take as long to load as Python itself

    run()


if __name__ == "__main__":
    main()
