#include "arithmetic.hpp"

#include <cmath>

namespace skerry::runtime::jinja {
namespace {

[[noreturn]] void too_large() {
  fault("a number is too large");
}

// A whole number as Python's, but a fraction where it takes more than 64 bits or `exponent` is
// negative.
Value whole_power(std::int64_t base, std::int64_t exponent) {
  Value fraction{std::pow(static_cast<double>(base), static_cast<double>(exponent))};
  if (exponent < 0) {
    return fraction;
  }
  std::int64_t out = 1;
  while (true) {
    if (exponent % 2 != 0 && __builtin_mul_overflow(out, base, &out)) {
      return fraction;
    }
    exponent /= 2;
    if (exponent == 0) {
      return Value{out};
    }
    if (__builtin_mul_overflow(base, base, &base)) {
      return fraction;
    }
  }
}

}  // namespace

Value whole_arithmetic(std::string_view op, std::int64_t left, std::int64_t right) {
  std::int64_t out = 0;
  if (op == "+" ? __builtin_add_overflow(left, right, &out)
                : (op == "-" ? __builtin_sub_overflow(left, right, &out)
                             : (op == "*" && __builtin_mul_overflow(left, right, &out)))) {
    too_large();
  }
  if (op == "+" || op == "-" || op == "*") {
    return Value{out};
  }
  if (op == "**") {
    return whole_power(left, right);
  }
  if (right == 0) {
    fault("a division by 0");
  }
  if (op == "/") {
    return Value{static_cast<double>(left) / static_cast<double>(right)};
  }
  if (right == -1) {
    if (left == INT64_MIN) {
      too_large();
    }
    return Value{op == "//" ? -left : std::int64_t{0}};
  }
  const std::int64_t rest = left % right;
  const bool off = rest != 0 && (rest < 0) != (right < 0);
  return Value{op == "//" ? left / right - (off ? 1 : 0) : rest + (off ? right : 0)};
}

Value fraction_arithmetic(std::string_view op, double left, double right) {
  if (op == "+") {
    return Value{left + right};
  }
  if (op == "-") {
    return Value{left - right};
  }
  if (op == "*") {
    return Value{left * right};
  }
  if (op == "**") {
    return Value{std::pow(left, right)};
  }
  if (right == 0) {
    fault("a division by 0");
  }
  if (op == "/") {
    return Value{left / right};
  }
  const double whole = std::floor(left / right);
  return Value{op == "//" ? whole : left - whole * right};
}

}  // namespace skerry::runtime::jinja
