"""Why a network loses accuracy in integers: measured operator by operator, said in words, and cured."""
