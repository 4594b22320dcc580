#include "grammar_shelf.hpp"

namespace skerry::runtime {

Result<std::shared_ptr<const Grammar>> GrammarShelf::get(std::string_view text) {
  // At most as many stay as there are requests.
  std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
  const Digest name = Digest::of(text);
  if (const auto found = known_.find(name); found != known_.end()) {
    return found->second.lock();
  }
  auto parsed = Grammar::parse(text);
  if (parsed) {
    known_.emplace(name, *parsed);
  }
  return parsed;
}

}  // namespace skerry::runtime
