#pragma once

// Names for what is imported: other tools allow more in a name than a manifest does
// (docs/formats/import.md). Used by the importers, and where a manifest is compared
// with the paths that a model signature covers.

#include <string>
#include <string_view>

namespace skerry::registry {

// The team of everything that was imported here and not signed by a fleet. Policies match it as
// "local/*"; no offer of a director may name it.
inline constexpr std::string_view kLocalTeam = "local";
// The catalogue's word for who vouches for an imported manifest, in place of a TUF repository.
inline constexpr std::string_view kImportRepository = "import";

// A part of a model reference: lower case, [a-z0-9._-], at most 64; "model" if nothing is left.
std::string import_name_part(std::string_view text);

// A file name of a manifest for a relative path: '/' becomes '+', what is not allowed '_'. Distinct
// paths may meet in one name; who builds a manifest checks that they do not.
std::string import_file_name(std::string_view path);

// The quantization that a file name ends with ("q4_k_m" of "Phi-3-Q4_K_M.gguf"), in lower case;
// empty if there is none.
std::string quantization_of(std::string_view file_name);

}  // namespace skerry::registry
