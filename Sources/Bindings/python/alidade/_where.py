"""Where jobscripts/install.sh put the library; None: the loader's search path."""
library = None
