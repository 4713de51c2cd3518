select id, predicted_y, predicted_y_probs[2]['prob'] as p
from ml.predict(model trees, table {{ source('bench', 'rows') }})
