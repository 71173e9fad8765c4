"""Where results are on the head of a cluster, unless a submission names a folder."""

HEAD_WORKDIR = "~/triptych"
