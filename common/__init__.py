"""What every room uses: configuration, run folders, files, metrics, plots, errors."""
