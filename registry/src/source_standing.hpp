#pragma once

// Which source the fetcher asks next for a blob, and what each of them answered.

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/registry/blob_source.hpp"

namespace skerry::registry {

// What each source answered for one blob, and whether it may be asked again.
class SourceStanding {
 public:
  SourceStanding(std::size_t sources, unsigned attempts) : answers_(sources), attempts_(attempts) {}

  // The next source to ask, round robin from the one that worked last; none if all are used up.
  std::optional<std::size_t> next() const {
    for (std::size_t i = 0; i < answers_.size(); ++i) {
      const auto source = (current_ + i) % answers_.size();
      if (!answers_[source].gone && answers_[source].failures < attempts_) {
        return source;
      }
    }
    return std::nullopt;
  }

  void fail(std::size_t source, const Error& error) {
    auto& answer = answers_[source];
    ++answer.failures;
    answer.gone =
        error.code() == Error::Code::kNotFound || error.code() == Error::Code::kResourceExhausted;
    answer.error = error;
    current_ = (source + 1) % answers_.size();
    // "Not found" says least: it stands only if every answer was that.
    if (!any_answer_ || error.code() != Error::Code::kNotFound) {
      code_ = error.code();
    }
    any_answer_ = true;
  }

  // Something verified arrived: the limit counts failures in a row.
  void progress(std::size_t source) {
    current_ = source;
    for (auto& answer : answers_) {
      answer.failures = 0;
    }
  }

  // True once every source that is left has failed equally often: time to wait.
  bool round_is_over() const {
    unsigned least = attempts_;
    unsigned most = 0;
    for (const auto& answer : answers_) {
      if (!answer.gone) {
        least = std::min(least, answer.failures);
        most = std::max(most, answer.failures);
      }
    }
    return least == most && most < attempts_;
  }

  [[nodiscard]] Error summary(const std::vector<BlobSource*>& sources, const Digest& blob) const {
    std::string text = "blob " + blob.to_string() + " could not be fetched";
    for (std::size_t i = 0; i < answers_.size(); ++i) {
      text += (i == 0 ? ": " : "; ") + sources[i]->name() + ": " +
              (answers_[i].error ? answers_[i].error->message() : "not asked");
    }
    if (answers_.empty()) {
      text += ": there is no source";
    }
    return {code_, std::move(text)};
  }

 private:
  struct Answer {
    unsigned failures = 0;
    bool gone = false;
    std::optional<Error> error;
  };
  std::vector<Answer> answers_;
  unsigned attempts_;
  std::size_t current_ = 0;
  bool any_answer_ = false;
  Error::Code code_ = Error::Code::kUnavailable;
};

}  // namespace skerry::registry
