"""Why a network loses accuracy in integers: measured operator by operator, explained, and fixed."""
