#include <utility>

#include "skerry/agent/upstream_stream.hpp"

namespace skerry::agent::upstream {

Result<void> SseReader::feed(std::string_view bytes, std::vector<SseEvent>& out) {
  for (const char c : bytes) {
    const bool line_feed = c == '\n';
    // CR LF is one end of line, also when the stream was cut between them.
    if (line_feed && std::exchange(after_cr_, false)) {
      continue;
    }
    after_cr_ = c == '\r';
    if (line_feed || c == '\r') {
      take_line(line_, out);
      line_.clear();
      continue;
    }
    if (line_.size() + data_.size() >= AnswerLimits::kEventBytes) {
      return Error{Error::Code::kTooLarge,
                   "an event of the stream has more than " +
                       std::to_string(AnswerLimits::kEventBytes) + " bytes"};
    }
    line_ += c;
  }
  return {};
}

void SseReader::take_line(std::string_view line, std::vector<SseEvent>& out) {
  if (!std::exchange(started_, true) && line.starts_with("\xef\xbb\xbf")) {
    line.remove_prefix(3);
  }
  if (line.empty()) {
    dispatch(out);
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) {
    value.remove_prefix(1);
  }
  if (field == "data") {
    if (std::exchange(has_data_, true)) {
      data_ += '\n';
    }
    data_ += value;
  } else if (field == "event") {
    name_ = value;
  }
}

void SseReader::dispatch(std::vector<SseEvent>& out) {
  if (std::exchange(has_data_, false)) {
    out.push_back(SseEvent{std::move(name_), std::move(data_)});
  }
  name_.clear();
  data_.clear();
}

void SseReader::finish(std::vector<SseEvent>& out) {
  if (!line_.empty()) {
    take_line(line_, out);
    line_.clear();
  }
  dispatch(out);
}

}  // namespace skerry::agent::upstream
