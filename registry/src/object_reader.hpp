#pragma once

// Strict reading of a JSON object: every member must be asked for, typed and within its limit. The
// first failure sticks in `Failure` with the path of the value; later reads give defaults, so a
// parser is a plain list of members and one check at the end.

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/json.hpp"

namespace skerry::registry {

class Failure {
 public:
  explicit Failure(Error::Code code, std::string_view document) : code_(code), prefix_(document) {}
  void set(const std::string& path, std::string_view why);
  [[nodiscard]] bool failed() const { return error_.has_value(); }
  [[nodiscard]] const Error& error() const { return *error_; }

 private:
  Error::Code code_;
  std::string prefix_;
  std::optional<Error> error_;
};

class ObjectReader {
 public:
  // `value` may be null or no object: that is a failure at `path`.
  ObjectReader(const Json* value, std::string path, Failure& failure);

  [[nodiscard]] bool has(std::string_view key) const;
  // Marks `key` as known; null (and a failure if `required`) when it is missing.
  const Json* member(std::string_view key, bool required = true);
  std::string text(std::string_view key, std::size_t limit, bool required = true);
  std::int64_t integer(std::string_view key,
                       std::int64_t min,
                       std::int64_t max,
                       std::optional<std::int64_t> fallback = std::nullopt);
  double number(std::string_view key, double min, double max, double fallback);
  Digest digest(std::string_view key);
  // The elements; a failure if there are more than `limit`.
  const std::vector<Json>& array(std::string_view key, std::size_t limit, bool required = true);
  std::vector<std::string> texts(std::string_view key, std::size_t limit, std::size_t text_limit);

  // Fails for a member that was not asked for.
  void finish();
  void fail(std::string_view key, std::string_view why);
  [[nodiscard]] std::string path_of(std::string_view key) const;
  [[nodiscard]] const Json::Object& members() const { return *members_; }

 private:
  const Json::Object* members_;
  std::string path_;
  Failure& failure_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace skerry::registry
