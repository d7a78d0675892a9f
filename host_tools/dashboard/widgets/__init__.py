"""Elements that several pages share. Pure: values in, markup out."""
