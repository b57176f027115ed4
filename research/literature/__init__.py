"""What others have written: abstracts and BibTeX of a folder, or arXiv's; untrusted text, cited by id."""
