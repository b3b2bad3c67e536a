"""Invoices as people get them: drawn as PDF, written into a mail, kept and handed out."""
