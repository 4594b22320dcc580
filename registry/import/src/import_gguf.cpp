// GGUF: one file, the parts of a split one, or a folder with several quantizations of one model.

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "skerry/registry/gguf_check.hpp"
#include "skerry/registry/gguf_join.hpp"
#include "skerry/registry/import_names.hpp"

#include "importers.hpp"

namespace skerry::registry {
namespace {

// "<stem>-00002-of-00005.gguf"
struct PartName {
  std::string stem;
  std::uint32_t number = 0;
  std::uint32_t count = 0;
};

std::optional<std::uint32_t> five_digits(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.size() != 5 || ec != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

std::optional<PartName> parse_part(std::string_view path) {
  constexpr std::string_view kEnding = ".gguf";
  constexpr std::size_t kTail = 15;  // "-00002-of-00005"
  if (!path.ends_with(kEnding)) {
    return std::nullopt;
  }
  path.remove_suffix(kEnding.size());
  if (path.size() <= kTail) {
    return std::nullopt;
  }
  const std::string_view tail = path.substr(path.size() - kTail);
  const auto number = five_digits(tail.substr(1, 5));
  const auto count = five_digits(tail.substr(10, 5));
  if (tail.front() != '-' || tail.substr(6, 4) != "-of-" || !number || !count || *number == 0 ||
      *number > *count) {
    return std::nullopt;
  }
  return PartName{std::string{path.substr(0, path.size() - kTail)}, *number, *count};
}

// Every part of the split file that `part` belongs to, in order.
Result<ImportFile> split_file(const SourcePtr& source, const PartName& part) {
  std::vector<std::string> paths;
  for (std::uint32_t number = 1; number <= part.count; ++number) {
    const auto digits = [](std::uint32_t value) {
      const std::string text = std::to_string(value);
      return std::string(5 - text.size(), '0') + text;
    };
    std::string path = part.stem + "-" + digits(number) + "-of-" + digits(part.count) + ".gguf";
    if (source->find(path) == nullptr) {
      auto opened = source->open_file(path);
      return opened ? Error{Error::Code::kNotFound, path + " is missing"}
                    : opened.error().with_context("a part of the split model");
    }
    paths.push_back(std::move(path));
  }
  ImportFile file;
  file.role = FileRole::kWeights;
  file.path = paths.front() + " and " + std::to_string(part.count - 1) + " more parts";
  file.open = [source, paths]() -> Result<std::unique_ptr<File>> {
    std::vector<std::unique_ptr<File>> parts;
    for (const std::string& path : paths) {
      auto opened = source->open_file(path);
      if (!opened) {
        return opened.error();
      }
      parts.push_back(std::move(*opened));
    }
    return join_gguf(std::move(parts));
  };
  const auto joined = file.open();
  if (!joined) {
    return joined.error().with_context(part.stem);
  }
  const auto status = (*joined)->status();
  if (!status) {
    return status.error();
  }
  file.size = status->size;
  file.name = import_file_name(source_name(part.stem) + ".gguf");
  return file;
}

// The plain file, or the joined parts, at `path`.
Result<ImportFile> gguf_file(const SourcePtr& source, const std::string& path) {
  if (const auto part = parse_part(path); part && part->count > 1) {
    return split_file(source, *part);
  }
  return import_file(source, FileRole::kWeights, path, import_file_name(source_name(path)));
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

std::string without_quantization(std::string stem, const std::string& quantization) {
  const std::size_t at = lower_case(stem).rfind(quantization);
  if (!quantization.empty() && at != std::string::npos && at > 1) {
    stem.resize(at - 1);
  }
  return stem;
}

Result<void> add_gguf_variant(const SourcePtr& source, const std::string& path, ImportPlan& plan) {
  auto file = gguf_file(source, path);
  if (!file) {
    return file.error();
  }
  const auto opened = file->open();
  if (!opened) {
    return opened.error();
  }
  const auto summary = check_gguf(**opened);
  if (!summary) {
    return summary.error().with_context(path);
  }
  if (summary->split_count > 1) {
    return Error{Error::Code::kModelFormat,
                 path + " is part " + std::to_string(summary->split_number + 1) + " of " +
                     std::to_string(summary->split_count) +
                     "; its parts must be called <name>-00001-of-" + "0000" +
                     std::to_string(summary->split_count) + ".gguf"};
  }
  if (summary->architecture == "clip") {
    // A projector for pictures: kept with the model, no variant of its own.
    file->role = FileRole::kProjector;
    plan.shared.push_back(std::move(*file));
    return {};
  }
  std::string quantization = quantization_of(file->name);
  ImportVariant variant;
  variant.name = unused_variant(
      plan,
      import_name_part(quantization.empty() ? lower_case(summary->dominant_type) : quantization));
  variant.format = "gguf";
  variant.runtime = "llamacpp";
  if (plan.name.empty()) {
    const std::string stem = file->name.substr(0, file->name.rfind('.'));
    plan.name = import_name_part(without_quantization(stem, quantization));
    plan.description = summary->name.substr(0, ManifestLimits::kTextLength);
    if (!summary->license.empty()) {
      plan.annotations.emplace("org.opencontainers.image.licenses",
                               summary->license.substr(0, ManifestLimits::kTextLength));
    }
  }
  variant.files.push_back(std::move(*file));
  plan.variants.push_back(std::move(variant));
  return {};
}

}  // namespace

Result<ImportPlan> plan_gguf(const SourcePtr& source, const std::string& only) {
  ImportPlan plan;
  if (!only.empty()) {
    if (auto added = add_gguf_variant(source, only, plan); !added) {
      return added.error();
    }
    if (plan.variants.empty()) {
      return Error{Error::Code::kModelFormat, only + " is a projector, not a model"};
    }
    if (source->find(only + ".sig") != nullptr) {
      auto signature = import_file(source, FileRole::kSignature, only + ".sig", "model.sig");
      if (!signature) {
        return signature.error();
      }
      plan.shared.push_back(std::move(*signature));
    }
    return plan;
  }
  for (const SourceEntry& entry : source->files()) {
    if (!entry.path.ends_with(".gguf")) {
      continue;
    }
    const auto part = parse_part(entry.path);
    if (part && part->count > 1 && part->number > 1) {
      continue;  // came with the first
    }
    if (auto added = add_gguf_variant(source, entry.path, plan); !added) {
      return added.error();
    }
  }
  for (const std::string& path : source->irregular()) {
    if (path.ends_with(".gguf")) {
      return source->refuse_irregular().error();
    }
  }
  if (plan.variants.empty()) {
    return Error{Error::Code::kNotFound, "there is no GGUF model in " + source->name()};
  }
  plan.name = import_name_part(source->name());
  // The parts of split files are in the joined ones.
  ImportPlan companions = plan;
  if (auto added = add_companions(source, companions); !added) {
    return added.error();
  }
  std::erase_if(companions.shared, [](const ImportFile& file) {
    return file.path.ends_with(".gguf") && file.role != FileRole::kProjector;
  });
  std::erase_if(companions.notes, [](const std::string& note) { return note.ends_with(".gguf"); });
  return companions;
}

}  // namespace skerry::registry
