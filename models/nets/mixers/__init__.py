"""How the positions of a block exchange, one mixer per file. Imported by nets and compress."""
