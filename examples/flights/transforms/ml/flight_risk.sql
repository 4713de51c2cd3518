-- The score of each departed flight by the model that is the champion now; no Python is called.
select
  flight_id, time_hour, carrier, is_late,
  predicted_is_late,
  predicted_is_late_probs[2]['prob'] as p_late
from ml.predict(model delay_model, (
  select * replace (least(dep_delay, 180) as dep_delay) from {{ ref('feat_flight') }}
))
