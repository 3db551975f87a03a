#include "iaactl.h"
