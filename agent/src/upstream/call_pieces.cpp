#include <algorithm>
#include <utility>

#include "skerry/agent/upstream_stream.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::upstream {
namespace {

constexpr std::size_t kNameBytes = 64;
constexpr std::size_t kIdBytes = 128;

Error no_call(std::string_view why) {
  return Error{Error::Code::kParse, "a call of a tool " + std::string{why}};
}

// A name that a tool may have here: what is none was not called.
bool may_be_tool(std::string_view name) {
  return !name.empty() && name.size() <= kNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-';
         });
}

// An id goes to the client and comes back with the result; what is no word is replaced.
bool may_be_id(std::string_view id) {
  return id.size() <= kIdBytes && std::all_of(id.begin(), id.end(), [](char c) {
           return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7f;
         });
}

std::string word_in(const Json* value, std::string_view key) {
  const Json* member = value == nullptr ? nullptr : value->find(key);
  const std::string* word = member == nullptr ? nullptr : member->string();
  return word == nullptr ? std::string{} : *word;
}

}  // namespace

struct CallPieces::Entry {
  explicit Entry(const Json& call) : id(word_in(&call, "id")) {
    if (const Json* number = call.find("index"); number != nullptr && number->is_int()) {
      index = number->as_int().value_or(0);
    }
    const Json* function = call.find("function");
    name = word_in(function, "name");
    const Json* given = function == nullptr ? nullptr : function->find("arguments");
    if (given != nullptr && given->is_object()) {
      arguments = given->dump();
    } else {
      arguments = word_in(function, "arguments");
    }
    if (!may_be_id(id)) {
      id.clear();
    }
  }

  std::optional<std::int64_t> index;
  std::string id;
  std::string name;
  std::string arguments;
};

bool CallPieces::begins(const Entry& entry) const {
  if (!open_ || (entry.index && index_ && *entry.index != *index_)) {
    return true;
  }
  // Pieces that have no name go on with the call, whatever id they have: older vLLMs make a new one
  // for each.
  if (entry.name.empty() || name_.empty()) {
    return false;
  }
  // Older Ollamas number all calls 0 and tell them apart by ids.
  const bool other_id = !entry.id.empty() && !id_.empty() && entry.id != id_;
  return other_id || (!entry.index && (entry.id.empty() || id_.empty()));
}

Result<void> CallPieces::take(const Json& calls, std::vector<runtime::ChatPart>& out) {
  // Some repeat an empty piece after the end.
  if (most_ == 0 || ended_) {
    return {};
  }
  if (calls.is_object()) {
    return take_one(Entry{calls}, out);
  }
  if (calls.array() == nullptr) {
    return {};
  }
  for (const Json& call : *calls.array()) {
    if (Result<void> taken = take_one(Entry{call}, out); !taken) {
      return taken;
    }
  }
  return {};
}

Result<void> CallPieces::take_one(const Entry& entry, std::vector<runtime::ChatPart>& out) {
  if (begins(entry)) {
    const bool again = entry.index && closed_.contains(*entry.index) && entry.name.empty();
    if (again) {
      return no_call("goes on after another began");
    }
    if (Result<void> closed = close(false, out); !closed) {
      return closed;
    }
    if (++begun_ > AnswerLimits::kCalls) {
      return no_call("is one of too many");
    }
    open_ = true;
    index_ = entry.index;
  }
  if (id_.empty()) {
    id_ = entry.id;
  }
  bytes_ += entry.arguments.size();
  if (bytes_ > AnswerLimits::kArgumentBytes) {
    return no_call("has arguments without an end");
  }
  held_ += entry.arguments;
  runtime::ChatPart part;
  part.call = begun_ - 1;
  if (name_.empty() && !entry.name.empty()) {
    if (!may_be_tool(entry.name)) {
      return no_call("has a name that no tool has");
    }
    name_ = entry.name;
    part.kind = runtime::ChatPart::Kind::kCall;
    part.id = id_;
    part.name = name_;
    if (told()) {
      out.push_back(std::exchange(part, {}));
    }
  }
  if (!name_.empty() && !held_.empty()) {
    any_arguments_ = true;
    part.kind = runtime::ChatPart::Kind::kArguments;
    part.call = begun_ - 1;
    part.text = std::exchange(held_, {});
    if (told()) {
      out.push_back(std::move(part));
    }
  }
  return {};
}

Result<void> CallPieces::close(bool cut, std::vector<runtime::ChatPart>& out) {
  if (!std::exchange(open_, false)) {
    return {};
  }
  if (name_.empty() && !cut) {
    return no_call("has no name");
  }
  if (!name_.empty() && !any_arguments_ && told()) {
    runtime::ChatPart none;
    none.kind = runtime::ChatPart::Kind::kArguments;
    none.call = begun_ - 1;
    none.text = "{}";
    out.push_back(std::move(none));
  }
  if (index_) {
    closed_.insert(*index_);
  }
  any_arguments_ = false;
  index_.reset();
  id_.clear();
  name_.clear();
  held_.clear();
  return {};
}

Result<void> CallPieces::finish(bool cut, std::vector<runtime::ChatPart>& out) {
  ended_ = true;
  return close(cut, out);
}

}  // namespace skerry::agent::upstream
