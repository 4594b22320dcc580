#pragma once

// Listens to GoogleTest and tells people, or programs, what became of each case. One case at a time
// runs; a plugin that takes the process down, or never comes back, is named all the same.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "skerry/common/json.hpp"

namespace skerry::sdk {

struct CaseResult {
  enum class Outcome : std::uint8_t { kPassed, kFailed, kSkipped };
  struct Failure {
    std::string at;  // "cases_tensors.cpp:52"
    std::string what;
  };
  std::string name;   // "RefusesAnUnknownOption"
  std::string model;  // the file, or empty
  Outcome outcome = Outcome::kPassed;
  std::vector<Failure> failures;
  std::string reason;  // why it was skipped
};

class CaseReport final : public ::testing::EmptyTestEventListener {
 public:
  struct Options {
    // By the case's parameter.
    std::vector<std::string> models;
    // After so many seconds a case has failed and the program ends with 1.
    unsigned timeout_s = 120;
    bool quiet = false;
  };
  explicit CaseReport(Options options);

  // From now on a signal, and `timeout_s` seconds without a case that ends, end the program with
  // exit code 1 and a line on standard error that names the case.
  static void watch(unsigned timeout_s);

  void OnTestStart(const ::testing::TestInfo& test) override;
  void OnTestEnd(const ::testing::TestInfo& test) override;

  void add(CaseResult result);
  [[nodiscard]] bool empty() const { return results_.empty(); }
  [[nodiscard]] std::size_t count(CaseResult::Outcome outcome) const;
  [[nodiscard]] Json to_json() const;

 private:
  [[nodiscard]] const std::string& model_of(const ::testing::TestInfo& test) const;

  Options options_;
  std::string last_model_;
  std::vector<CaseResult> results_;
};

}  // namespace skerry::sdk
