"""The Python kernel of a sandbox: ipykernel with the result formats and the reseeding that the code interpreter promises.

Nothing here imports numpy, pandas, matplotlib or PIL before the user does: an idle kernel stays small.
"""
