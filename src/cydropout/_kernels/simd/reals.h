/* What is written for one float type: simd.h includes it once for each. */
#include "simd/activations.h"
#include "product/panels.h"
#include "recurrence/recurrence.h"
#include "noise/noise.h"
#include "simd/reduce.h"
#include "layer_norm/layer_norm.h"
#include "softmax/softmax.h"
#include "standout/standout.h"
