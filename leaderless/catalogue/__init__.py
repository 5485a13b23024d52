"""The catalogue as people use it: finding, listing, editing, exporting."""
