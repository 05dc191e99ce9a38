// The unit tests of the core, `*_test.cc` below addon/core; for test/unit/core.test.ts.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
