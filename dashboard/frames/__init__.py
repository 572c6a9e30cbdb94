"""What the pages show, as tables read from run folders."""
