"""What others have written, a folder's or arXiv's: untrusted, cited by id; team and campaign import it."""
