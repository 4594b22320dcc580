# Model files (registry/admission). Seeds: make_model_corpus.py.
skerry_fuzz(gguf LINK skerry::admission skerry::test_support)
skerry_fuzz(onnx LINK skerry::admission skerry::test_support)
