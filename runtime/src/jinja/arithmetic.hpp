#pragma once

// The operators of numbers, with Python's results: + - * / // % **. For expressions.cpp.

#include <cstdint>
#include <string_view>

#include "value.hpp"

namespace skerry::runtime::jinja {

// Division goes towards minus infinity, and the remainder has the divisor's sign. Faults: a
// division by 0, a number beyond 64 bits; a power beyond them is a fraction.
Value whole_arithmetic(std::string_view op, std::int64_t left, std::int64_t right);
Value fraction_arithmetic(std::string_view op, double left, double right);

}  // namespace skerry::runtime::jinja
