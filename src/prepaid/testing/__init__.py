"""Tools shipped for those who test a panel with this library in it: nothing here touches real money."""
