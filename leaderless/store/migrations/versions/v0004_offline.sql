-- Whether the folder of a location is there is its owner's word, and others' business.

ALTER TABLE location ADD COLUMN is_offline INTEGER CHECK (is_offline IN (0, 1));
