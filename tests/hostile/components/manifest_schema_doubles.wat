;; Attacks whoever creates a node with a schema whose every step is two; the walk must be bounded.

(data (i32.const 0) "{\"type\":\"object\",\"properties\":{\"a\":{\"default\":{},\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}},\"allOf\":[{\"$ref\":\"#/$defs/x\"},{\"$ref\":\"#/$defs/x\"}],\"$defs\":{\"x\":{\"allOf\":[{\"$ref\":\"#/$defs/y\"},{\"$ref\":\"#/$defs/y\"}]},\"y\":{\"anyOf\":[{\"$ref\":\"#/$defs/x\"},{\"$ref\":\"#/$defs/x\"}]}}}")
(func $config (result i32)
  (i32.store offset=24 (global.get $manifest) (i32.const 0))
  (i32.store offset=28 (global.get $manifest) (i32.const 265))
  (global.get $manifest))
