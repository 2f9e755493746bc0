"""Files that are known by their ending and not read."""

ENDINGS = {
    ".xml": "XML (BioC, GATE, TEI, MAE and others); convert it to JSON, for BioC with `bioc`, or export WebAnno TSV",
    ".tei": "XML (TEI); convert it to {'text': ..., 'entities': [[start, end, label]]}, the end exclusive",
    ".xmi": "an INCEpTION or UIMA CAS; export the project as 'WebAnno TSV v3.3' or 'CoNLL 2002'",
    ".sgm": "SGML (ACE, MUC); convert it to {'text': ..., 'entities': [[start, end, label]]}, end exclusive",
    **dict.fromkeys(
        (".nt", ".nq", ".n3", ".trig", ".rdf", ".owl", ".jsonld", ".ttl"),
        "RDF (NIF and others); write {'text': ..., 'entities': [[start, end, label]]}",
    ),
    **dict.fromkeys(
        (".xlsx", ".xls", ".ods"),
        "a spreadsheet; save it as CSV with a column of words, one of tags and one that numbers the sentences",
    ),
    **dict.fromkeys(
        (".docx", ".odt", ".rtf"), "a document of a word processor; there are no annotations that could be read"
    ),
    ".pdf": "a PDF; there are no annotations that could be read",
    ".html": "a web page; there are no annotations that could be read",
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "an archive; unpack it"),
    ".bz2": "compressed with bzip2; unpack it, or compress it with gzip",
    ".xz": "compressed with xz; unpack it, or compress it with gzip",
    ".zst": "compressed with zstd; unpack it, or compress it with gzip",
    **dict.fromkeys((".pkl", ".pickle", ".pt"), "a pickle, which may run any program when it is opened; write JSON"),
    ".db": "a data base; export it: for Prodigy `prodigy db-out NAME > NAME.jsonl`",
    ".sqlite": "a data base; export its annotations as JSON",
    ".py": "Python; write the list in it as JSON (`json.dump`)",
    ".ipynb": "a notebook; write the data that it holds as JSON",
    ".npy": "an array of NumPy; write its lists as JSON (`json.dump(array.tolist(), ...)`)",
    ".npz": "arrays of NumPy; write their lists as JSON (`json.dump(array.tolist(), ...)`)",
    ".rds": "a data set of R; write it as CSV (`write.csv`) or JSON (`jsonlite::stream_out`)",
    ".rdata": "data sets of R; write one as CSV (`write.csv`) or JSON (`jsonlite::stream_out`)",
    ".avro": "Avro; write it as parquet or JSON lines",
    ".orc": "ORC; write it as parquet or JSON lines",
    ".yaml": "YAML; convert it to JSON",
    ".yml": "YAML (Rasa's training data?); convert it to JSON",
    ".md": "Markdown (Rasa's training data?); convert it to {'text': ..., 'entities': [[start, end, label]]}",
}
"""What files with these endings are, and what to do."""
