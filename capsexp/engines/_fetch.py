"""python -m capsexp.engines._fetch MODEL_ID, into ModelScope's cache; the last line on stdout says why it was not."""

import sys

if __name__ == "__main__":
    from modelscope.hub.snapshot_download import snapshot_download

    try:
        snapshot_download(sys.argv[1])
    except Exception as error:  # whatever its network stack raises
        print((str(error).splitlines() or [type(error).__name__])[0])
        sys.exit(1)
