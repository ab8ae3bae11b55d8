/* Functions of the shared library that are not its interface: the Python package's own modules call
 * them, and change with them. */
#ifndef CROSSENT_MODULE_H
#define CROSSENT_MODULE_H

#include "crossent.h"

#define CROSSENT_MODULE CROSSENT_API

#endif
