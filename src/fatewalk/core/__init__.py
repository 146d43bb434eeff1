"""What every room uses: errors, files and tables, names of columns, versions of the stages."""
