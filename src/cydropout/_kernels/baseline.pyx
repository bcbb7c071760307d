include "body.pxi"
