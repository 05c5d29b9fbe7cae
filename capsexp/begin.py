"""The ways to begin, for whoever has asked for nothing yet."""

WAYS = """\
capsexp measures whether more recognizer workers pay on this machine. Ways to begin:

  is this machine fit for it?     python -m capsexp.doctor
  are its figures right here?     python -m capsexp.selftest
  a first look, in a minute       python -m capsexp experiment=quick
  the question itself             python -m capsexp workers=1,2,3
  on your own audio               python -m capsexp workers=1,2,3 samples=dir samples.dir=~/clips
  of your own server              python -m capsexp workers=1,2 reference=server \\
                                    server=command server.cmd='SERVER {workers} {port}'
  of a server that runs already   python -m capsexp reference=server server=external server.url=ws://HOST:PORT

  what would it do, how long?     the same line with --dry-run
  what has been made so far       python -m capsexp.list
  all else                        python -m capsexp --help"""
