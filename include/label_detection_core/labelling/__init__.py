"""One image on its way from the source bucket to the final one."""
