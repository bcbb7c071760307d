"""Table 2 of Srivastava et al. 2014 and its kin: the nets, their training, the report."""
