#pragma once

// `Result<T>` is either a `T` or an `Error`. The member names are those of C++23 `std::expected`,
// so that moving to it is a mechanical edit. Reading the value of a failed result, or the error of
// a good one, is a bug and aborts.

#include <cstdlib>
#include <type_traits>
#include <utility>
#include <variant>

#include "skerry/common/error.hpp"

namespace skerry {

template <class T>
class [[nodiscard]] Result {
  static_assert(!std::is_reference_v<T> && !std::is_same_v<std::remove_cv_t<T>, Error>);

 public:
  using value_type = T;

  // Implicit, so that a function can `return value;` or `return error;`.
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

  explicit operator bool() const noexcept { return has_value(); }

  T& operator*() & { return get(); }

  const T& operator*() const& { return get(); }

  T&& operator*() && { return std::move(get()); }

  T* operator->() { return &get(); }

  const T* operator->() const { return &get(); }

  [[nodiscard]] const Error& error() const& {
    const Error* error = std::get_if<1>(&state_);
    if (error == nullptr) {
      std::abort();
    }
    return *error;
  }

  Error&& error() && {
    Error* error = std::get_if<1>(&state_);
    if (error == nullptr) {
      std::abort();
    }
    return std::move(*error);
  }

  template <class U>
  T value_or(U&& fallback) const& {
    return has_value() ? **this : static_cast<T>(std::forward<U>(fallback));
  }

 private:
  T& get() {
    T* value = std::get_if<0>(&state_);
    if (value == nullptr) {
      std::abort();
    }
    return *value;
  }

  const T& get() const {
    const T* value = std::get_if<0>(&state_);
    if (value == nullptr) {
      std::abort();
    }
    return *value;
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;

  // NOLINTNEXTLINE(google-explicit-constructor)
  Result(Error error) : state_(std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }

  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] const Error& error() const& {
    const Error* error = std::get_if<Error>(&state_);
    if (error == nullptr) {
      std::abort();
    }
    return *error;
  }

 private:
  std::variant<std::monostate, Error> state_;
};

}  // namespace skerry
