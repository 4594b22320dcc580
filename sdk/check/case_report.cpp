#include "case_report.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace skerry::sdk {

namespace {

using Outcome = CaseResult::Outcome;

// Read by the signal handler: the case that runs, with the words around it.
std::array<char, 256> running_case{'O', 'p', 'e', 'n', 's'};

void write_text(std::string_view text) {
  // Nothing is left to do about a standard error that is closed.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
}

std::string_view cause(int signal) {
  switch (signal) {
    case SIGALRM:
      return ": it did not end in time (--timeout)\n";
    case SIGABRT:
      return ": the plugin ended the process by SIGABRT\n";
    case SIGSEGV:
      return ": the plugin ended the process by SIGSEGV\n";
    case SIGBUS:
      return ": the plugin ended the process by SIGBUS\n";
    case SIGILL:
      return ": the plugin ended the process by SIGILL\n";
    case SIGFPE:
      return ": the plugin ended the process by SIGFPE\n";
    default:
      return ": the plugin ended the process by a signal\n";
  }
}

// Only what is allowed in a signal handler.
void end_by_signal(int signal) {
  write_text("FAIL  ");
  write_text({running_case.data(), strnlen(running_case.data(), running_case.size())});
  write_text(cause(signal));
  _exit(1);
}

std::string_view word(Outcome outcome) {
  switch (outcome) {
    case Outcome::kFailed:
      return "failed";
    case Outcome::kSkipped:
      return "skipped";
    default:
      return "passed";
  }
}

// "RefusesAnUnknownOption/0" without the parameter's number.
std::string plain_name(std::string_view name) {
  return std::string{name.substr(0, name.find('/'))};
}

std::string base_name(const char* path) {
  const std::string_view whole = path == nullptr ? std::string_view{"?"} : std::string_view{path};
  const std::size_t slash = whole.rfind('/');
  return std::string{slash == std::string_view::npos ? whole : whole.substr(slash + 1)};
}

void print(const CaseResult& result) {
  const char* mark = result.outcome == Outcome::kFailed    ? "FAIL  "
                     : result.outcome == Outcome::kSkipped ? "skip  "
                                                           : "ok    ";
  std::printf("%s%s%s%s\n",
              mark,
              result.name.c_str(),
              result.reason.empty() ? "" : ": ",
              result.reason.c_str());
  for (const CaseResult::Failure& failure : result.failures) {
    std::printf("      %s\n", failure.at.c_str());
    for (std::size_t at = 0; at < failure.what.size();) {
      const std::size_t end = std::min(failure.what.find('\n', at), failure.what.size());
      std::printf("        %s\n", failure.what.substr(at, end - at).c_str());
      at = end + 1;
    }
  }
  std::fflush(stdout);
}

}  // namespace

CaseReport::CaseReport(Options options) : options_(std::move(options)) {}

void CaseReport::watch(unsigned timeout_s) {
  for (const int signal : {SIGALRM, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) {
    struct sigaction action {};
    action.sa_handler = end_by_signal;
    sigaction(signal, &action, nullptr);
  }
  alarm(timeout_s);
}

const std::string& CaseReport::model_of(const ::testing::TestInfo& test) const {
  static const std::string kNone;
  const std::string_view name = test.name();
  const std::size_t slash = name.find('/');
  std::size_t index = 0;
  if (slash != std::string_view::npos) {
    std::from_chars(name.data() + slash + 1, name.data() + name.size(), index);
  }
  return index < options_.models.size() ? options_.models[index] : kNone;
}

void CaseReport::OnTestStart(const ::testing::TestInfo& test) {
  const std::string name = plain_name(test.name());
  const std::size_t length = std::min(name.size(), running_case.size() - 1);
  std::memcpy(running_case.data(), name.data(), length);
  running_case[length] = '\0';
  const std::string& model = model_of(test);
  if (!options_.quiet && options_.models.size() > 1 && model != last_model_) {
    std::printf("model %s\n", model.c_str());
    std::fflush(stdout);
    last_model_ = model;
  }
  alarm(options_.timeout_s);
}

void CaseReport::OnTestEnd(const ::testing::TestInfo& test) {
  alarm(0);
  CaseResult result;
  result.name = plain_name(test.name());
  result.model = model_of(test);
  const ::testing::TestResult& outcome = *test.result();
  result.outcome = outcome.Failed()    ? Outcome::kFailed
                   : outcome.Skipped() ? Outcome::kSkipped
                                       : Outcome::kPassed;
  for (int i = 0; i < outcome.total_part_count(); ++i) {
    const ::testing::TestPartResult& part = outcome.GetTestPartResult(i);
    if (part.failed()) {
      result.failures.push_back(
          {base_name(part.file_name()) + ":" + std::to_string(part.line_number()), part.message()});
    } else if (part.skipped()) {
      result.reason = part.message();
    }
  }
  add(std::move(result));
}

void CaseReport::add(CaseResult result) {
  if (!options_.quiet) {
    print(result);
  }
  results_.push_back(std::move(result));
}

std::size_t CaseReport::count(Outcome outcome) const {
  return static_cast<std::size_t>(
      std::count_if(results_.begin(), results_.end(), [outcome](const CaseResult& result) {
        return result.outcome == outcome;
      }));
}

Json CaseReport::to_json() const {
  Json::Array cases;
  for (const CaseResult& result : results_) {
    Json::Object object{{"case", result.name}, {"outcome", word(result.outcome)}};
    if (!result.model.empty()) {
      object["model"] = result.model;
    }
    if (!result.reason.empty()) {
      object["reason"] = result.reason;
    }
    if (!result.failures.empty()) {
      Json::Array failures;
      for (const CaseResult::Failure& failure : result.failures) {
        failures.emplace_back(Json::Object{{"at", failure.at}, {"what", failure.what}});
      }
      object["failures"] = std::move(failures);
    }
    cases.emplace_back(std::move(object));
  }
  return Json{Json::Object{{"passed", static_cast<std::uint64_t>(count(Outcome::kPassed))},
                           {"failed", static_cast<std::uint64_t>(count(Outcome::kFailed))},
                           {"skipped", static_cast<std::uint64_t>(count(Outcome::kSkipped))},
                           {"cases", std::move(cases)}}};
}

}  // namespace skerry::sdk
