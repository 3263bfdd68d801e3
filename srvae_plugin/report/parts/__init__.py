"""What the page of a report is put together from: tables, figures, pictures, lists."""
