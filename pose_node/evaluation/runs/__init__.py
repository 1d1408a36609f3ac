"""One evaluation: frames sent to worker processes, estimates matched to labels, results written to files."""
