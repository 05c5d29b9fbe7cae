"""What a bare `python -m capsexp` prints: ways to begin."""

WAYS = """\
capsexp measures whether more recognizer workers pay on this machine. Ways to begin:

  is this machine fit?            python -m capsexp.doctor
  are the figures right here?     python -m capsexp.selftest
  a first look, in two minutes    python -m capsexp experiment=quick
  how many workers pay?           python -m capsexp workers=1,2,3
  with your own audio             python -m capsexp workers=1,2,3 samples=dir samples.dir=~/clips
  with your own server            python -m capsexp workers=1,2 server=command \\
                                    server.cmd='SERVER {workers} {port}'
  with a running server           python -m capsexp server=external server.url=ws://HOST:PORT

  what would run, how long?       the same line with --dry-run
  your earlier sweeps             python -m capsexp.list
  everything else                 python -m capsexp --help"""
